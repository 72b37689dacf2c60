package githook

import "bytes"

// without returns a JSON object with null for the list or object that one of its
// members holds, looking for quotes and brackets only: most of a payload is what
// nobody reads, and decoding it is most of the work of a push. What is not JSON,
// or has no such member, comes back as it is.
func without(object []byte, name string) []byte {
	depth := 0
	for at := 0; at < len(object); at++ {
		switch object[at] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			end := afterText(object, at)
			if end < 0 {
				return object
			}
			if depth == 1 && string(object[at+1:end-1]) == name {
				if from, to := memberValue(object, end); from > 0 {
					return bytes.Join([][]byte{object[:from], object[to:]}, []byte("null"))
				}
			}
			at = end - 1
		}
	}
	return object
}

// memberValue finds the list or object of the member whose name ends at at; from
// is 0 if it is not a name, or has another value.
func memberValue(object []byte, at int) (from, to int) {
	rest := bytes.TrimLeft(object[at:], " \t\r\n")
	rest, named := bytes.CutPrefix(rest, []byte(":"))
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if !named || len(rest) == 0 || rest[0] != '[' && rest[0] != '{' {
		return 0, 0
	}
	from = len(object) - len(rest)
	if to = afterValue(object, from); to < 0 {
		return 0, 0
	}
	return from, to
}

// afterValue is where the list or object that begins at from ends; -1: nowhere.
func afterValue(text []byte, from int) int {
	depth := 0
	for at := from; at < len(text); at++ {
		switch text[at] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		case '"':
			end := afterText(text, at)
			if end < 0 {
				return -1
			}
			at = end - 1
		}
	}
	return -1
}

// afterText is where the string that begins at from ends; -1: nowhere.
func afterText(text []byte, from int) int {
	for at := from + 1; at < len(text); at++ {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			return -1
		}
		inside := text[from+1 : at+quote]
		at += quote
		if escapes := len(inside) - len(bytes.TrimRight(inside, `\`)); escapes%2 == 0 {
			return at + 1
		}
	}
	return -1
}
