package nginx

import (
	"fmt"
	"strings"
	"unicode"
)

// obstacle is a place in the team's own files that keeps requests from going
// through ipublish, and what to make of it.
type obstacle struct {
	Do    remedy
	At    string // FILE:12 or FILE:12-15; "" where there is no place yet
	Text  string // what stands there, on one line
	Write string // what is to stand there
	Keep  string // what Write does not hold of it, or the name or address that it is about
}

// remedy is what a person does about an obstacle.
type remedy int

const (
	doReplace remedy = iota // put Write in place of Text
	doDelete                // take Text away
	doAdd                   // put Write into the block that begins there
	doChoose                // put Write there, where this is the app's location
	doTell                  // put Write there, or make the variable known
	doPart                  // put Write where Text goes to the address Keep
	doLift                  // take Text out of stream
	doSpare                 // bring the servers Keep along, or lose them
	doParams                // bring the server parameters Keep along
)

// advice says in words what to do; app is who the requests are for.
func (o obstacle) advice(app string) string {
	switch {
	case o.Do == doReplace && o.Keep != "":
		return fmt.Sprintf("%s: in place of `%s` write `%s`, and to keep `%s` list it under extra of balancer.nginx", o.At, o.Text, o.Write, o.Keep)
	case o.Do == doReplace:
		return fmt.Sprintf("%s: in place of `%s` write `%s`", o.At, o.Text, o.Write)
	case o.Do == doDelete && o.Keep != "":
		return fmt.Sprintf("%s: delete `%s`, and to keep `%s` list it under extra of balancer.nginx", o.At, o.Text, o.Keep)
	case o.Do == doDelete:
		return fmt.Sprintf("%s: delete `%s`", o.At, o.Text)
	case o.Do == doAdd:
		return fmt.Sprintf("%s: inside the block `%s` that begins there add `%s`", o.At, o.Text, o.Write)
	case o.Do == doTell:
		return fmt.Sprintf("%s: where `%s` leads cannot be told: if that is the location of %s, write `%s` there, or name %s as a value of the variable by set or map", o.At, o.Text, app, o.Write, o.Keep)
	case o.Do == doPart:
		return fmt.Sprintf("%s: `%s` reaches %s past ipublish, and other servers: give %s a location with `%s`, and take that address out of the variable's values", o.At, o.Text, o.Keep, app, o.Write)
	case o.Do == doLift:
		return fmt.Sprintf("%s: `%s` in stream sends connections past ipublish: move it into http as `%s`, or give the slots of %s other ports", o.At, o.Text, o.Write, app)
	case o.Do == doSpare:
		return fmt.Sprintf("%s: %s would get no more requests: add it to the hosts first, or leave it out knowingly", o.At, o.Keep)
	case o.Do == doParams:
		return fmt.Sprintf("%s: to keep `%s` list it under server_params of balancer.nginx", o.At, o.Keep)
	case o.At != "" && o.Text != "":
		return fmt.Sprintf("%s: if that is the location of %s, write `%s` in place of `%s`", o.At, app, o.Write, o.Text)
	case o.At != "":
		return fmt.Sprintf("%s: if that is the location of %s, write `%s` in it", o.At, app, o.Write)
	}
	return fmt.Sprintf("in the location of %s write `%s`", app, o.Write)
}

// adviceLimit is how many obstacles one message names.
const adviceLimit = 10

// advise numbers the advice on all obstacles.
func advise(all []obstacle, app string) string {
	var b strings.Builder
	for i, o := range all[:min(len(all), adviceLimit)] {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "(%d) %s", i+1, o.advice(app))
	}
	if more := len(all) - adviceLimit; more > 0 {
		fmt.Fprintf(&b, "; (+%d)", more)
	}
	return b.String()
}

// textWidth is how many characters of a configuration file a message shows at one place.
const textWidth = 160

// oneLine makes a piece of a configuration fit for a message: on one line,
// without control characters and without what would end the quotation, clipped.
func oneLine(text string) string {
	var b strings.Builder
	n, gap := 0, false
	for _, r := range strings.ToValidUTF8(text, "?") {
		switch {
		case unicode.IsSpace(r):
			gap = n > 0
			continue
		case !unicode.IsPrint(r):
			continue
		case r == '`':
			r = '\''
		}
		if n >= textWidth {
			return b.String() + " …"
		}
		if gap {
			b.WriteByte(' ')
			n, gap = n+1, false
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}
