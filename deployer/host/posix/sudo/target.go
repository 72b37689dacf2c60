package sudo

import "strings"

// target is the user that sudo becomes with these words behind its name: root
// without a word about it. ok is false where that cannot be told, as with an
// option that is not known to stand alone.
func target(words []string) (user string, ok bool) {
	user = "root"
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		switch {
		case word == "--":
			return user, len(words) == 0
		case strings.HasPrefix(word, "--user="):
			user = strings.TrimPrefix(word, "--user=")
		case word == "--user":
			if len(words) == 0 {
				return "", false
			}
			user, words = words[0], words[1:]
		case strings.HasPrefix(word, "--"):
			if !alone(word) {
				return "", false
			}
		case len(word) > 1 && word[0] == '-':
			var named string
			if named, words, ok = cluster(word[1:], words); !ok {
				return "", false
			}
			if named != "" {
				user = named
			}
		default:
			return "", false
		}
	}
	return user, user != "" && user != "#"
}

// cluster reads short options that are written as one word, such as -nu: the
// last may have its value within the word or in the next. user is empty if none
// is named.
func cluster(letters string, words []string) (user string, rest []string, ok bool) {
	for i, letter := range letters {
		switch {
		case strings.ContainsRune("nHSEkiPbB", letter):
			continue
		case letter != 'u':
			return "", words, false
		case i+1 < len(letters):
			return letters[i+1:], words, true
		case len(words) == 0 || words[0] == "":
			return "", words, false
		}
		return words[0], words[1:], true
	}
	return "", words, true
}

// alone: the long options that stand without a value and change no user.
func alone(word string) bool {
	switch word {
	case "--non-interactive", "--set-home", "--stdin", "--preserve-env", "--reset-timestamp", "--login", "--preserve-groups", "--background", "--bell":
		return true
	}
	return strings.HasPrefix(word, "--preserve-env=")
}
