using Lamina.Interop.Events;

namespace Lamina.Interop.Tests.Events;

public sealed class EventNotifierTests
{
    [Fact]
    public void ASignalIsTakenOnce()
    {
        using EventNotifier notifier = new();
        Assert.False(notifier.TryTake());
        notifier.Signal();
        notifier.Signal();
        Assert.True(notifier.TryTake());
        Assert.False(notifier.TryTake());
    }

    [Fact]
    public void OneThatIsDisposedLeavesTheNextOwnerOfItsNumberAlone()
    {
        const int attempts = 1000;
        for (int n = 0; n < attempts; n++)
        {
            EventNotifier gone = new();
            int number = gone.Descriptor;
            gone.Dispose();
            using EventNotifier next = new();
            if (next.Descriptor != number)
            {
                // Another test's thread has it.
                continue;
            }

            gone.Signal();
            Assert.False(next.TryTake(), "a notifier that is disposed signals another one");
            next.Signal();
            Assert.False(gone.TryTake(), "a notifier that is disposed takes another one's signal");
            Assert.True(next.TryTake());
            return;
        }

        Assert.Fail($"the host did not give a number again in {attempts} attempts");
    }
}
