package bot

import (
	"fmt"
	"strings"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// help gives the overview, or explains one verb.
func help(topic Verb) string {
	if g, ok := grammarOf(topic); ok {
		return explain(g)
	}
	var b strings.Builder
	b.WriteString("ipublish releases without anybody noticing. Commands:\n")
	for _, g := range grammars() {
		fmt.Fprintf(&b, "  %s\n      %s\n", g.usage(), g.about)
	}
	b.WriteString("APP and ENV may be left out where only one is meant; APP/ENV and APP@REF work too.")
	return b.String()
}

func explain(g grammar) string {
	text := g.usage() + "\n  " + g.about
	if g.more != "" {
		text += "\n  " + g.more
	}
	if g.role != RoleNone {
		text += "\n  needs the role " + string(g.role)
	}
	if g.hosts != namesNone {
		text += "\n  HOST… are hosts as configured: web-3 web-4, web-3,web-4 or web-[3-4]"
	}
	if g.without {
		text += "\n  --without HOST leaves hosts of a rolling environment as they are: --without web-3,web-4"
	}
	switch {
	case g.force && g.verb == VerbPlan:
		text += "\n  --force \"why\" shows what a forced deploy would do; nothing is recorded"
	case g.verb == VerbDeploy:
		text += "\n  --force \"why\" deploys a release that failed before, and passes a lock; needs the role " + string(RoleAdmin) + ", is recorded and told"
	case g.verb == VerbRestart:
		text += "\n  --force \"why\" restarts where the front door does not answer, between two slots; needs the role " + string(RoleAdmin) + ", is recorded and told"
	case g.force:
		text += "\n  --force \"why\" goes back to a release that failed before; needs the role " + string(RoleAdmin) + ", is recorded and told"
	}
	return text
}

// whoami shows ids as the configuration takes them.
func whoami(cmd deploy.Command) string {
	text := "you are " + hostile.Line(cmd.User.ID, 100)
	if cmd.User.Name != "" {
		text += " (" + hostile.Line(cmd.User.Name, 60) + ")"
	}
	if cmd.Channel != "" {
		text += "\nthis channel is " + hostile.Line(cmd.Channel, 200)
	}
	return text + "\nroles in ipublish.yaml take the first, channels the second"
}
