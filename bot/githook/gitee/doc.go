// Package gitee reads Gitee's push deliveries: Push Hook and Tag Push Hook.
//
// X-Gitee-Token is either the plain password or a signature of X-Gitee-Timestamp.
// NEITHER covers the body: whoever sees one delivery's headers can send another
// body with them. With a signature that holds for one hour, and a second body
// under the same signature is refused; with a password it holds for ever. Use
// the signature, and TLS always. The body repeats password and signature, so
// that a Gitee body must never be logged.
package gitee
