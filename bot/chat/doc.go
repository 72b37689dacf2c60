// Package chat is what the drivers of all chat platforms share: the signs by
// which a message shows progress and mood. Each platform is a package below it.
//
// The one idea: a deploy.Message is plain text; each driver cleans it (package
// hostile), lays it out within its platform's limits, and escapes it, last and
// once. No driver derives a mention or a link from any text.
package chat
