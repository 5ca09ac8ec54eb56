using System.Diagnostics;
using Lamina.Interop.Events;

namespace Lamina.Interop.Tests.Events;

public sealed class PollerTests
{
    [Fact]
    public unsafe void StructuresHaveTheKernelsSizes()
    {
        Assert.Equal(12, sizeof(PollEvent));
        Assert.Equal(8, sizeof(PollDescriptor));
        Assert.Equal(32, sizeof(TimerSetting));
    }

    [Fact]
    public void ANotifierIsReadyFromSignalToClear()
    {
        using Poller poller = new();
        using EventNotifier notifier = new();
        poller.Add(notifier.Descriptor, Readiness.Readable, 99);
        ReadyDescriptor[] ready = new ReadyDescriptor[4];
        Assert.Equal(0, poller.Wait(ready, 0));
        notifier.Signal();
        notifier.Signal();
        Assert.Equal(1, poller.Wait(ready, -1));
        Assert.Equal(new ReadyDescriptor(99, Readiness.Readable), ready[0]);
        notifier.Clear();
        Assert.Equal(0, poller.Wait(ready, 0));
    }

    [Fact]
    public void ATimerIsReadyAtItsTimeAndNotBefore()
    {
        using Poller poller = new();
        using HostTimer timer = new();
        poller.Add(timer.Descriptor, Readiness.Readable, 1);
        ReadyDescriptor[] ready = new ReadyDescriptor[1];
        long deadline = Stopwatch.GetTimestamp() + 2_000_000;
        timer.Arm(deadline);
        Assert.Equal(1, poller.Wait(ready, -1));
        Assert.True(Stopwatch.GetTimestamp() >= deadline);
        timer.Clear();
        Assert.Equal(0, poller.Wait(ready, 0));
        timer.Arm(0);
        Assert.Equal(1, poller.Wait(ready, -1));
        timer.Disarm();
        Assert.Equal(0, poller.Wait(ready, 0));
    }

    [Fact]
    public void DescriptorsCanBeChangedAndRemoved()
    {
        using Poller poller = new();
        using EventNotifier notifier = new();
        ReadyDescriptor[] ready = new ReadyDescriptor[1];
        notifier.Signal();
        poller.Add(notifier.Descriptor, Readiness.None, 1);
        Assert.Equal(0, poller.Wait(ready, 0));
        poller.Modify(notifier.Descriptor, Readiness.Readable, 2);
        Assert.Equal(1, poller.Wait(ready, 0));
        Assert.Equal(2UL, ready[0].Token);
        poller.Remove(notifier.Descriptor);
        Assert.Equal(0, poller.Wait(ready, 0));
        Assert.Throws<SystemCallException>(() => poller.Remove(notifier.Descriptor));
    }
}
