using System.Diagnostics;
using Lamina.Machine.Time;
using Lamina.Vmm.Events;
using Lamina.Vmm.Timing;

namespace Lamina.Vmm.Tests.Timing;

public sealed class MachineClockTests : IDisposable
{
    private const ulong Millisecond = 1_000_000;
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(30);
    private readonly EventLoop _loop = new("test loop", static _ => { });
    private readonly MachineClock _clock;

    public MachineClockTests()
    {
        _clock = new MachineClock(_loop);
    }

    public void Dispose()
    {
        _loop.Dispose();
        _clock.Dispose();
    }

    [Fact]
    public void TimeBeginsAtZeroAndStandsStillWhilePaused()
    {
        Assert.Equal(0UL, _clock.Now);
        _clock.Resume();
        ulong first = _clock.Now;
        while (_clock.Now == first)
        {
        }

        Assert.True(_clock.Now > first);
        _clock.Pause();
        ulong paused = _clock.Now;
        long until = Stopwatch.GetTimestamp() + Stopwatch.Frequency / 500;
        while (Stopwatch.GetTimestamp() < until)
        {
        }

        Assert.Equal(paused, _clock.Now);
        _clock.Resume();
        Assert.InRange(_clock.Now, paused, paused + (ulong)Soon.TotalNanoseconds);
    }

    [Fact]
    public void ItSaysHowFarItIsBehindTheHostsClockWhileItGoes()
    {
        Assert.Null(_clock.HostOffset);
        _clock.Set(77 * Millisecond);
        _clock.Resume();
        ulong before = _clock.Now;
        ulong host = (ulong)Stopwatch.GetTimestamp();
        ulong after = _clock.Now;
        Assert.InRange(host - _clock.HostOffset!.Value, before, after);
        _clock.Pause();
        Assert.Null(_clock.HostOffset);
    }

    [Fact]
    public void TheCalendarIsTheHosts()
    {
        ulong now = (ulong)(DateTimeOffset.UtcNow - DateTimeOffset.UnixEpoch).TotalMilliseconds * Millisecond;
        Assert.InRange(_clock.UnixTime, now - 1000 * Millisecond, now + 60_000 * Millisecond);
    }

    [Fact]
    public void TimersFireInTheOrderOfTheirDeadlinesAndNotEarly()
    {
        List<(int Name, ulong Deadline, ulong Fired)> fired = [];
        using ManualResetEventSlim all = new();
        Random random = new(3);
        const int Count = 200;
        IClockTimer[] timers = new IClockTimer[Count];
        ulong[] deadlines = new ulong[Count];
        for (int i = 0; i < Count; i++)
        {
            int name = i;
            timers[i] = _clock.CreateTimer(new Target(() =>
            {
                fired.Add((name, deadlines[name], _clock.Now));
                if (fired.Count == Count / 2)
                {
                    all.Set();
                }
            }));
        }

        // Armed twice, in another order, while time stands; every second one is cancelled.
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < Count; i++)
            {
                deadlines[i] = (ulong)random.Next(1, 20_000_000);
                timers[i].Arm(deadlines[i]);
            }
        }

        for (int i = 0; i < Count; i += 2)
        {
            timers[i].Cancel();
            timers[i].Cancel();
        }

        _loop.Begin();
        _clock.Resume();
        Assert.True(all.Wait(Soon));
        Assert.Equal(Count / 2, fired.Count);
        Assert.All(fired, f => Assert.True(f.Name % 2 == 1 && f.Fired >= f.Deadline));
        Assert.Equal(fired.Select(f => f.Deadline).Order(), fired.Select(f => f.Deadline));
    }

    [Fact]
    public void APastDeadlineFiresAtOnceAndAnEarlierOneReplacesALater()
    {
        using AutoResetEvent fired = new(false);
        IClockTimer timer = _clock.CreateTimer(new Target(() => fired.Set()));
        _loop.Begin();
        _clock.Resume();
        timer.Arm(0);
        Assert.True(fired.WaitOne(Soon));
        timer.Arm(ulong.MaxValue);
        timer.Arm(3600_000 * Millisecond);
        timer.Arm(_clock.Now + Millisecond);
        Assert.True(fired.WaitOne(Soon));
    }

    [Fact]
    public void NothingFiresWhileTimeStands()
    {
        int count = 0;
        using ManualResetEventSlim posted = new();
        using ManualResetEventSlim fired = new();
        IClockTimer timer = _clock.CreateTimer(new Target(() =>
        {
            count++;
            fired.Set();
        }));
        Posting posting = new(_loop, posted.Set);
        _clock.Resume();
        _clock.Pause();
        timer.Arm(0);
        _loop.Begin();
        posting.Schedule();
        Assert.True(posted.Wait(Soon));
        Assert.Equal(0, count);
        _clock.Resume();
        Assert.True(fired.Wait(Soon));
    }

    [Fact]
    public void AGuestThatAsksForEndlessExpiriesDoesNotStopTheLoop()
    {
        using ManualResetEventSlim posted = new();
        IClockTimer? timer = null;
        timer = _clock.CreateTimer(new Target(() => timer!.Arm(0)));
        _clock.Resume();
        timer.Arm(0);
        _loop.Begin();
        new Posting(_loop, posted.Set).Schedule();
        Assert.True(posted.Wait(Soon));
    }

    [Fact]
    public void ArmingAllocatesNothing()
    {
        IClockTimer timer = _clock.CreateTimer(new Target(() => { }));
        timer.Arm(1);
        _clock.Resume();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (ulong i = 0; i < 1000; i++)
        {
            timer.Arm(_clock.Now + 1000 * Millisecond - i);
            timer.Cancel();
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private sealed class Target(Action action) : ITimerTarget
    {
        public void OnTimer() => action();
    }
}
