"""Signals are put off, once, and the handlers are given back."""

import signal
import threading

import pytest

from trainers.interruption import NOTICE, SIGNALS, Interruption


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted_and_the_second_raises(number, capfd):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        interruption.raise_if_received()
        assert interruption.received is None
        signal.raise_signal(number)
        assert interruption.received == number
        with pytest.raises(KeyboardInterrupt) as noted:
            interruption.raise_if_received()
        with pytest.raises(KeyboardInterrupt) as second:
            signal.raise_signal(number)
    assert noted.value.args == second.value.args == (number,)
    assert capfd.readouterr().err == NOTICE.decode()
    assert signal.getsignal(number) is before


def test_handlers_are_given_back_after_an_error():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(RuntimeError), Interruption():
        assert [signal.getsignal(number) for number in SIGNALS] != before
        raise RuntimeError
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert interruption.received is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_sets_no_handler():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with Interruption():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
