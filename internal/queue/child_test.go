package queue

const childEnv = "FTFUSE_QUEUE_TEST_CHILD"

func runChild(string) int { return 0 }
