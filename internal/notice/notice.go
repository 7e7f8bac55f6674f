// Package notice names the messages that an operator must act on, each by an id that never changes.
//
// A notice is an attribute of a log record: `log.Warn("...", notice.QueueFull)`. In the journal it is the field MESSAGE_ID, by
// which `journalctl MESSAGE_ID=...` finds the message and `journalctl -x` explains it; elsewhere its name is shown.
// packaging/ftfuse.catalog holds the explanations, in which @FIELD@ stands for an attribute of the record.
package notice

import "log/slog"

// Key is the attribute's key.
const Key = "notice"

// Notice is the value of the attribute.
type Notice struct{ name, id string }

// MessageID returns 32 hexadecimal digits (sd-id128(3)).
func (n Notice) MessageID() string { return n.id }

// String returns the name.
func (n Notice) String() string { return n.name }

// MarshalText is for the text and JSON handlers of slog.
func (n Notice) MarshalText() ([]byte, error) { return []byte(n.name), nil }

func of(name, id string) slog.Attr { return slog.Any(Key, Notice{name, id}) }

// The notices of both roles.
var (
	ConfigRefused       = of("config_refused", "b10a4afb456f4ba582ccf20f2a62d03e")
	Failed              = of("failed", "54200a8128844f4a97daf84f2e41f796")
	Hung                = of("hung", "bd9cdfb6dcb84709bf4e9aa0bdfe6407")
	ReloadFailed        = of("reload_failed", "cf187212d66cfc34bda7e2a4bcd34c9a")
	ReloadPartly        = of("reload_partly", "70f22821a817fac3ce7320905c52ab1d")
	ControlElsewhere    = of("control_elsewhere", "657949c9c857432e85779e1e5b174ce2")
	PluginEnded         = of("plugin_ended", "49cde54d59225acdb673d3a03f9a9494")
	PluginUncertain     = of("plugin_uncertain", "09cae1edd1cb5f21fb0d1bdda6809317")
	CertificateExpiring = of("certificate_expiring", "c9fef005f1ab481fa3228c0338d3d704")
	MetricsOff          = of("metrics_off", "c3a82f0660ef4392b4b779fe38ded66f")
)

// The notices of a sender.
var (
	ReceiverAway        = of("receiver_away", "e4db8e417ba54cf18ccaa9f7e76a5d1b")
	ReceiverUnreachable = of("receiver_unreachable", "c9b2e052f03f4a14b926d72303d8a7f5")
	ReceiverStalled     = of("receiver_stalled", "7d8c14f0934c4c7d9e284ce7d4b392cb")
	ReceiverBehind      = of("receiver_behind", "3b234872ef30429daf047740ea35377c")
	NewEpoch            = of("new_epoch", "a35b9ebde0ab4b87b85bfb162e34f02d")
	DataRefused         = of("data_refused", "baa0e8786a21474493a56fdff82c2a6d")
	QueueFilling        = of("queue_filling", "fe03f8b1b3ff41d985282fd7a3bd6f02")
	QueueFull           = of("queue_full", "0c3c767ac3f24b0491e6419ca2e903ed")
	DataDropped         = of("data_dropped", "50818fd614e44c89a80e2b6ba4f0b93c")
	QueueStuck          = of("queue_stuck", "37eb173357934822b32aaf8ffa51f00b")
	QueueRefuses        = of("queue_refuses", "1fcf666e062745cd835ff9caa7294d05")
	QueueDamaged        = of("queue_damaged", "ca37494762784e4ca2bcd53bb1282b9d")
	QueueWriteFailed    = of("queue_write_failed", "ed1cae01741e4d8ab594559b82e5a815")
	SpoolDamaged        = of("spool_damaged", "7250ed3c0de24d2cb735616be42d063e")
	SpoolUnreadable     = of("spool_unreadable", "196574aac76945b4b5513c38ac843993")
	SpoolTrouble        = of("spool_trouble", "25bc88f4eb0e4ba6b5bf33012d1d44c1")
	MountEnded          = of("mount_ended", "9179e2e261ad45b0bbf28c1b11d3ca13")
	MountUnmounted      = of("mount_unmounted", "dcdc03773e944efcbe9c3d49bd7a78b9")
	MountNotServed      = of("mount_not_served", "612e0343ca134652b51ec111488f8e97")
	MountRefused        = of("mount_refused", "acd23f0652ac4a01b2a4938f72f01c02")
	MountTakenOver      = of("mount_taken_over", "95638c75642b4e55af29307a9db34092")
	MountReplaced       = of("mount_replaced", "0bd4e6119ecd4cb296bd7d6c290ab1e3")
	MountDead           = of("mount_dead", "3dfae302ac744f12988aa42d3543af2a")
	MountLost           = of("mount_lost", "696873a4749b4e428fcdb109d0348164")
	MountNotKept        = of("mount_not_kept", "ff88c89cbc9442e095dc7b4f80c4ad16")
	FileLost            = of("file_lost", "daba7633046a485085cb6708ef931983")
	PickUpFailed        = of("pick_up_failed", "bb588acd71d3432eb3248d8944c03045")
	RequestPanicked     = of("request_panicked", "c907a4c614f9407eb795b54a0ecb1e24")
	OpenCaptureOff      = of("open_capture_off", "4a8659c6fd2c464ba96e542961ebf56b")
)

// The notices of a receiver.
var (
	OutputFailing   = of("output_failing", "6de2d74e98a24d7aba58399d105597dd")
	OutputUncertain = of("output_uncertain", "b6905ac925154454ad550ce4f32527ac")
	OutputTouched   = of("output_touched", "b05f5304dfe94c3482ad1425eb39c5c7")
	RotationFailed  = of("rotation_failed", "d25adda7c1e243fd953a4230eeb6326e")
	LedgerDamaged   = of("ledger_damaged", "b51a04d377bf46a7b06a48dceaca9746")
	SenderRefused   = of("sender_refused", "eab47dedfe3540778f93cd450f9d9073")
	SenderDuplicate = of("sender_duplicate", "7b8ccf4341ca401faf9c9565b4d8566d")
	PeerQuota       = of("peer_quota", "851abb8e1c06486abc41fa9cb894a19b")
	AcceptFailed    = of("accept_failed", "ca4d5590ec68424b8453ee93dcbe4951")
)
