package k2hft

import (
	"path"
	"regexp"
	"strings"
)

var assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// command splits a PLUGIN at blanks: words like NAME=VALUE in front are its environment, the rest is the command.
func command(text string) (environment, words []string) {
	words = strings.Fields(text)
	for len(words) > 0 && assignment.MatchString(words[0]) {
		environment, words = append(environment, words[0]), words[1:]
	}
	return environment, words
}

// pluginOutput translates PLUGIN, with OUTPUTFILE as where its stdout goes.
func (t *translator) pluginOutput(s *source, ruleName string, e, file *Entry) *output {
	o := t.newPlugin("plugin-"+ruleName, e, s.owner())
	if o == nil {
		if file != nil {
			t.report.add(Differs, file, s.owner(), "left out with the PLUGIN that it belongs to")
		}
		return nil
	}
	o.rule = ruleName
	if file == nil || file.Text == "" || file.Text == "/dev/null" || !sayable(file.Text) {
		o.plugin = append(o.plugin, kv{"stdout", "discard", "no OUTPUTFILE"})
		if file != nil {
			t.report.add(Translated, file, s.owner(), "plugin.stdout: discard")
		}
		return o
	}
	if below, ok := t.inside(file.Text); ok {
		if clean, ok := relative(below); ok && clean != "" {
			o.chain = clean
		}
		t.report.add(Differs, file, s.owner(), "plugin.stdout: what the plug-in writes goes where the rule for that file sends, as records of the file that they come from; it is not written into the mount")
		return o
	}
	out := path.Clean(file.Text)
	kind, text := Translated, "plugin.stdout_file"
	if s.dir && strings.HasSuffix(file.Text, "/") {
		out = path.Join(out, "all")
		kind, text = Differs, "plugin.stdout_file: "+out+", of one process for all files of the rule, where the original has a process and a file for each name; a rule and an output for one file keep it apart"
	}
	if t.taken(path.Dir(out)) {
		out = path.Join(ownCopies, path.Base(out))
		kind, text = Differs, "plugin.stdout_file: "+out+": it cannot lie beside ours"
	}
	o.plugin = append(o.plugin, kv{"stdout", "file", ""}, kv{"stdout_file", scalar(out), origin(file)})
	t.report.add(kind, file, s.owner(), text)
	return o
}

// newPlugin makes an output that feeds a program.
func (t *translator) newPlugin(name string, e *Entry, owner string) *output {
	environment, words := command(e.Text)
	if len(words) == 0 || !sayable(e.Text) {
		t.report.add(Differs, e, owner, "left out: want a command in UTF-8")
		return nil
	}
	var notes []string
	if strings.HasPrefix(words[0], "/") {
		words[0] = path.Clean(words[0])
	}
	if program := words[0]; !strings.HasPrefix(program, "/") {
		words[0] = "/usr/bin/" + program
		if strings.Contains(program, "/") {
			words[0] = path.Clean("/" + program)
		}
		notes = append(notes, words[0]+" is run: the original looks for "+program+" where it was started; put the absolute path in its place")
	}
	if strings.ContainsAny(e.Text, `|<>;'"$`+"`") {
		notes = append(notes, "there is no shell, as in the original: quotes and the like are part of the words")
	}
	o := t.output(name, "plugin\x00"+name)
	o.keys = []kv{{"type", "plugin", ""}}
	o.plugin = []kv{{"command", list(words), origin(e)}}
	if len(environment) > 0 {
		o.plugin = append(o.plugin, kv{"environment", list(environment), ""})
		notes = append(notes, "the environment has these variables beside a small fixed one; the original gives these alone")
	}
	if len(notes) == 0 {
		t.report.add(Translated, e, owner, "output "+o.name+"; it cannot hold up the writing program, and gets time to end")
	}
	for _, n := range notes {
		t.report.add(Differs, e, owner, "output "+o.name+": "+n)
	}
	return o
}

// chained settles where plug-ins go whose output the original writes back into the mount, and says which copies below
// the mount are taken up again.
func (t *translator) chained(rules []rule, all common) {
	for _, o := range t.outputs {
		if o.plugin != nil && o.chain != "" {
			o.plugin = append(o.plugin, t.chainTargets(o, rules, all)...)
		} else if o.plugin != nil && !hasKey(o.plugin, "stdout") {
			o.plugin = append(o.plugin, kv{"stdout", "journal", ""})
		}
		if r := holds(rules, o.below, o.dir); o.below != "" && r != nil && !r.stored {
			o.notes = append(o.notes, "What lies there belongs to rule "+r.name+", which takes it up like all that is found below the mount: base in another directory keeps it apart.")
			t.report.say(Differs, "output "+o.name+": rule "+r.name+" takes up what is found below the mount; give the output a base of its own to keep the two apart")
		}
	}
}

func (t *translator) chainTargets(o *output, rules []rule, all common) []kv {
	r := holds(rules, o.chain, false)
	if r == nil || !r.sends || len(all.receivers) == 0 {
		return []kv{{"stdout", "journal", ""}}
	}
	return []kv{{"stdout", "records", "as rule " + r.name + " sends"}, {"stdout_targets", list(all.receivers), ""}}
}

// holds returns the rule of a file below the mount, or of the files of a directory.
func holds(rules []rule, file string, dir bool) *rule {
	want := []string{globOf(file), strings.TrimPrefix(globOf(path.Dir("/" + file))[1:]+"/*", "/")}
	if dir {
		want = []string{strings.TrimPrefix(globOf(file)+"/*", "/")}
	}
	for _, w := range want {
		for i := range rules {
			if rules[i].match[0] == w {
				return &rules[i]
			}
		}
	}
	return nil
}

func hasKey(list []kv, key string) bool {
	for _, k := range list {
		if k.key == key {
			return true
		}
	}
	return false
}
