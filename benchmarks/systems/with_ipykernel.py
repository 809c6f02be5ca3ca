"""Drives one stock ipykernel with jupyter_client's blocking client: what a cell costs without a cluster."""

from __future__ import annotations

import time
from queue import Empty


class Driver:
    """A kernel and its client; more engines are not to be had."""

    name = "ipykernel"
    module = "ipykernel"

    def start(self, n: int) -> None:
        from jupyter_client.manager import start_new_kernel

        if n != 1:
            raise ValueError("a bare kernel is one engine")
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def do_nothing(self, engines: int) -> None:
        # Reply and idle: output is complete only then, and a cluster waits for both as well.
        self.run("pass")

    def run(self, code: str, on_text=None, patience: float = 60.0) -> bool:
        """Execute, handing on what is printed; False when the cell has not ended in time."""
        sent = self.client.execute(code)
        until = time.monotonic() + patience
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                return False
            if message["parent_header"].get("msg_id") != sent:
                continue
            if message["msg_type"] == "stream" and on_text is not None:
                on_text(message["content"]["text"])
                until = time.monotonic() + patience
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        while self.client.get_shell_msg(timeout=patience)["parent_header"].get("msg_id") != sent:
            continue
        return True

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def print_delay(self, code: str) -> float:
        arrivals: list[tuple[float, str]] = []
        self.run(code, on_text=lambda text: arrivals.append((time.time(), text)))
        arrived, text = arrivals[0]  # the line end may come on its own
        return arrived - float(text)

    def interrupt_delay(self, code: str, patience: float) -> float | None:
        sent: list[float] = []

        def interrupt(_: str) -> None:
            if sent:
                return  # the line end came on its own
            sent.append(time.perf_counter())
            self.manager.interrupt_kernel()

        if self.run(code, on_text=interrupt, patience=patience):
            return time.perf_counter() - sent[0]
        # The loop of a kernel in `await` sleeps on after SIGINT; a message to it wakes it.
        self.client.kernel_info()
        self.client.get_shell_msg(timeout=60)
        return None

    def remember(self, value: int) -> None:
        self.run(f"kept = {value}")

    def recall(self) -> int | None:
        texts: list[str] = []
        self.run("print(globals().get('kept'))", on_text=texts.append)
        return None if texts[0].strip() == "None" else int(texts[0])
