// Package slb drives a Classic Load Balancer (CLB, once SLB) of Aliyun by its
// API of 2014-05-15: the weight of a server in a vServer group is what lets new
// requests reach it, 0 keeps them away.
//
// The one idea: an answer of success is no proof. A weight counts as changed
// once the group is read again and has it, and a host counts as up when its
// weight is above 0 and the listener's own health check calls it normal.
//
// A host is found by its label slb, the ID of its ECS instance (i-…), network
// interface or container instance, and by the port of its address: the same ID
// with another port is another entry, and is left alone like every server that a
// step does not name. Out is weight 0. In is the weight that was recorded before
// the host was taken out; when none was recorded, a host that has a weight keeps
// it, and one without gets the weight that most other servers of the group have.
// Only where no other server has any, and so nothing to be in proportion to, it
// is 100, the API's own default.
//
// Guarantees: one change of a load balancer at a time where the drivers are
// opened by the same Turns, because the API answers a second one with
// BackendServer.configuring; what it answers busy or throttled is asked again
// with growing pauses, until the context ends. After a definite refusal in the
// middle of more than 20 servers the weights from before are in force again, or
// the error is deploy.CodeHold; a time-out or an unreachable API decides nothing,
// and repeating the step converges. The access key secret signs requests and
// appears nowhere else: no URL, error or evidence holds it.
//
// The API counts no connections of a server, so that InFlight is -1: who drains
// looks at the host. Nor does any page say how soon a weight that can be read
// guides the data plane too; Traffic.Settle asks for that much more patience.
//
// Facts are from the pages "Request signatures", "Error codes", "Endpoints",
// "SetVServerGroupAttribute", "DescribeVServerGroupAttribute",
// "DescribeHealthStatus" and "FAQ about health checks" of Classic Load
// Balancer's developer reference and user guide.
package slb
