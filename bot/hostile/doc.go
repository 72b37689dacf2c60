// Package hostile defuses what comes from outside, for the drivers of chats and
// git hosts alike. Its one idea: a valid signature says who sent a message,
// never that its content is safe.
//
// Line and Block make text printable, Replays notices a captured header that
// carries a second body, Outlet sends to an address that a payload named only
// if the platform owns it. Nothing here escapes markup: that is the last step
// of each driver, done once.
package hostile
