using Lamina.Interop.Threading;

namespace Lamina.Interop.Tests.Threading;

public sealed class ThreadUsageTests
{
    [Fact]
    public void AThreadThatWaitsIsSeenToWait()
    {
        using ManualResetEvent answer = new(false);
        Thread waiting = Thread.CurrentThread;
        Thread other = new(() =>
        {
            SpinWait.SpinUntil(() => (waiting.ThreadState & ThreadState.WaitSleepJoin) != 0);

            // It says so when it is about to.
            Thread.SpinWait(1_000_000);
            answer.Set();
        });
        long before = ThreadUsage.VoluntarySwitches;
        other.Start();
        answer.WaitOne();
        long after = ThreadUsage.VoluntarySwitches;
        other.Join();
        Assert.True(after > before, $"The thread has waited for another, and its voluntary context switches stay {after}.");
    }
}
