package verdict

import (
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Outcome says what became of a request, as far as the status at this hop tells. It is kept simple on purpose: a backend that
// answers 403 by itself is told from a proxy that refuses by the hop behind it, not by its status.
//
//	403, 406, 413, 414, 429, 431, 444, 494-497 → rejected by a proxy: these are what proxies and filters refuse with
//	5xx                                        → the application (or what stands for it) failed on it
//	any other status                           → it reached the application
//	closed without a status                    → no answer; an upgrade or an agent that stopped: unknown
//	not closed, no status                      → not known yet
func Outcome(status uint32, phase trafficv1.Phase, why trafficv1.CloseReason) detectionv1.Outcome {
	switch {
	case status == 403, status == 406, status == 413, status == 414, status == 429, status == 431, status == 444, status >= 494 && status <= 497:
		return detectionv1.Outcome_OUTCOME_REJECTED_BY_PROXY
	case status >= 500:
		return detectionv1.Outcome_OUTCOME_APP_ERROR
	case status >= 200 || status == 101:
		return detectionv1.Outcome_OUTCOME_REACHED_APP
	case phase != trafficv1.Phase_PHASE_CLOSED:
		return detectionv1.Outcome_OUTCOME_UNSPECIFIED
	}
	switch why {
	case trafficv1.CloseReason_CLOSE_REASON_AGENT_STOP, trafficv1.CloseReason_CLOSE_REASON_LOST,
		trafficv1.CloseReason_CLOSE_REASON_CAPPED, trafficv1.CloseReason_CLOSE_REASON_UPGRADED:
		return detectionv1.Outcome_OUTCOME_UNKNOWN
	default:
		return detectionv1.Outcome_OUTCOME_NO_ANSWER
	}
}
