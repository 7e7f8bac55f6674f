package control

// Reload is the answer to PathReload: what has become of the configuration as it is now. An answer that is an error says
// that nothing was changed, and why.
type Reload struct {
	Changed  []string `json:"changed"`            // in force now, in words; empty: nothing differed
	Restart  []string `json:"restart,omitempty"`  // sections that differ and need a restart
	Warnings []string `json:"warnings,omitempty"` // of the configuration
}
