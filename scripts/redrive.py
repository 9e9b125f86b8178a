"""Replays the failure queue of a stack through its function: enables the queue's event source mapping,
waits until every message has been tried, and disables it again, however this ends. Replaying twice
changes nothing; what still fails stays in the queue.

usage: redrive.py STACK
"""

import os
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

SECONDS = float(os.environ.get("REDRIVE_SECONDS", "10"))


def main(stack: str) -> None:
    stacks = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks[0].get("Outputs", [])}
    if not {"FailureQueueUrl", "RedriveMapping"} <= outputs.keys():
        sys.exit(f"{stack} has no failure queue to replay: is it a stack of this template, and up to date?")
    queue, mapping = outputs["FailureQueueUrl"], outputs["RedriveMapping"]

    sqs, functions = boto3.client("sqs"), boto3.client("lambda")

    def counts() -> tuple[int, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        waiting, tried = (int(found[name]) for name in names)
        return waiting, tried

    def enable(enabled: bool) -> None:
        for _ in range(60):  # a mapping in transition takes no orders
            try:
                functions.update_event_source_mapping(UUID=mapping, Enabled=enabled)
                return
            except functions.exceptions.ResourceInUseException:
                time.sleep(SECONDS)
        sys.exit(f"the event source mapping {mapping} stays in transition; look at it in the console")

    waiting, tried = counts()
    print(f"{waiting} waiting in {queue}", flush=True)
    if waiting == 0:
        return
    enable(True)
    try:
        nothing = 0
        while nothing < 2:  # SQS counts approximately: twice none is none
            time.sleep(SECONDS)
            waiting, tried = counts()
            print(f"{waiting} waiting, {tried} being tried or failed again", flush=True)
            nothing = nothing + 1 if waiting == 0 else 0
    finally:
        enable(False)
        print("the mapping is disabled again", flush=True)
    if tried:
        print(f"{tried} may have failed again and stay in the queue; the function's log says why")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except (BotoCoreError, ClientError) as error:
        sys.exit(str(error))
