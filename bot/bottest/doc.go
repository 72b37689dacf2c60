// Package bottest is the contract of the bot's drivers and the other side of
// their conversations, for tests only.
//
// Githook and Chat are the contract suites: every driver's test is one call of
// one of them. NewSlack and NewDingTalk are servers that behave as the platforms
// document it, limits, error answers and rate limits included; they record what
// a person would see. GitHub, GitLab, Gitea and Gitee build push deliveries as
// these hosts send them.
//
// A fake never guesses in the driver's favour: what the platform would refuse,
// it refuses.
package bottest
