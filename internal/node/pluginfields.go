package node

import (
	"slices"

	"ftfuse/internal/config"
)

// maxFields bounds how many rules, and how many mounts, are named with every line that a plug-in says.
const maxFields = 16

// senderFields are the fields in the journal that say what a plug-in of a sender is fed from: the rules that name it, and their
// mounts. What another plug-in writes is of mount "plugin" and has that one's name for a rule.
func senderFields(cfg *config.Sender, output string) map[string][]string {
	var rules, mounts []string
	for _, r := range cfg.Rules {
		if !r.Send || !feeds(output, r.Targets, r.Filters) {
			continue
		}
		rules = append(rules, r.Name)
		if mounts = append(mounts, r.Mounts...); len(r.Mounts) == 0 {
			for _, m := range cfg.Mounts {
				mounts = append(mounts, m.Name)
			}
		}
	}
	for _, o := range cfg.Outputs {
		if slices.Contains(o.Plugin.StdoutTargets, output) {
			rules, mounts = append(rules, o.Name), append(mounts, "plugin")
		}
	}
	return pluginFields(rules, mounts)
}

// receiverFields are those of a plug-in of a receiver, which does not know the senders' mounts.
func receiverFields(cfg *config.Receiver, output string) map[string][]string {
	var rules []string
	for _, r := range cfg.Rules {
		if len(r.Outputs) == 0 || feeds(output, r.Outputs, r.Filters) {
			rules = append(rules, r.Name)
		}
	}
	return pluginFields(rules, nil)
}

// feeds reports whether a rule with these targets and filters gives anything to an output.
func feeds(output string, targets []string, filters []config.Filter) bool {
	return slices.Contains(targets, output) ||
		slices.ContainsFunc(filters, func(f config.Filter) bool { return slices.Contains(f.Targets, output) })
}

func pluginFields(rules, mounts []string) map[string][]string {
	all := map[string][]string{}
	for key, list := range map[string][]string{"FTFUSE_RULE": rules, "FTFUSE_MOUNT": mounts} {
		slices.Sort(list)
		if list = slices.Compact(list); len(list) > 0 && len(list) <= maxFields {
			all[key] = list
		}
	}
	return all
}
