using System.Collections.Concurrent;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.Vmm.Processors;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests.Processors;

public sealed class ProcessorLoopTests : IProcessorEvents, IProcessorWaits, IDisposable
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(30);
    private readonly ManualResetEventSlim _reported = new();
    private readonly ConcurrentQueue<string> _waits = new();
    private string? _report;

    public void Dispose() => _reported.Dispose();

    [Fact]
    public void EverySignalWakesAHaltedProcessor()
    {
        using SemaphoreSlim runs = new(0);
        using FakeProcessor processor = new(0, _ =>
        {
            runs.Release();
            return TestMachine.Halted;
        });
        ProcessorLoop loop = new(processor, this, "cpu");
        loop.Begin();
        Assert.True(runs.Wait(Soon));
        Action[] signals = [loop.SignalInterrupt, loop.SignalNonMaskable, loop.SignalInit, () => loop.SignalStartUp(0x12), loop.SignalSystemManagement, loop.SignalKick];
        foreach (Action signal in signals)
        {
            signal();
            Assert.True(runs.Wait(Soon));
        }

        Assert.Equal(0x12, processor.StartUpVector);
        loop.End();
        Assert.False(runs.Wait(0));
    }

    [Fact]
    public void APersonalityHearsWhenAProcessorWaitsAndBeforeItGoesOn()
    {
        using SemaphoreSlim runs = new(0);
        using FakeProcessor processor = new(2, _ =>
        {
            _waits.Enqueue("run");
            runs.Release();
            return TestMachine.Halted;
        });
        ProcessorLoop loop = new(processor, this, "cpu", this);
        loop.Begin();
        Assert.True(runs.Wait(Soon));

        // While it is held it goes on waiting.
        loop.RequestHold();
        loop.WaitUntilHeld();
        Assert.Equal(["resume 2", "run", "wait 2"], _waits);
        loop.Release();
        Assert.True(runs.Wait(Soon));
        loop.End();
        Assert.Equal(["resume 2", "run", "wait 2", "resume 2", "run", "wait 2"], _waits);
    }

    [Fact]
    public void AHaltedProcessorUsesNoTime()
    {
        using SemaphoreSlim runs = new(0);
        using FakeProcessor processor = new(0, _ =>
        {
            runs.Release();
            return TestMachine.Halted;
        });
        ProcessorLoop loop = new(processor, this, "cpu");
        loop.Begin();
        Assert.True(runs.Wait(Soon));
        Assert.False(runs.Wait(20));
        loop.End();
        Assert.Equal(1UL, processor.InstructionsRetired);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AHeldProcessorStandsStillUntilItIsReleased(bool halts)
    {
        using SemaphoreSlim runs = new(0);
        using FakeProcessor processor = new(0, p =>
        {
            runs.Release();
            return halts ? TestMachine.Halted : p.Spin();
        });
        ProcessorLoop loop = new(processor, this, "cpu");
        loop.Begin();
        for (int i = 0; i < 200; i++)
        {
            Assert.True(runs.Wait(Soon));
            loop.RequestHold();
            loop.WaitUntilHeld();
            while (runs.Wait(0))
            {
            }

            ulong before = processor.InstructionsRetired;
            loop.SignalInterrupt();
            Assert.Equal(before, processor.InstructionsRetired);
            loop.Release();
            loop.SignalInterrupt();
        }

        loop.End();
        loop.Release();
    }

    [Fact]
    public void AShutDownProcessorRunsAgainOnlyAfterAReset()
    {
        using SemaphoreSlim runs = new(0);
        using FakeProcessor processor = new(3, _ =>
        {
            runs.Release();
            return new ProcessorExit(ProcessorExitReason.Shutdown);
        });
        ProcessorLoop loop = new(processor, this, "cpu");
        loop.Begin();
        Assert.True(_reported.Wait(Soon));
        Assert.Equal("shutdown 3", _report);
        Assert.True(runs.Wait(Soon));
        loop.SignalInterrupt();
        loop.RequestHold();
        loop.WaitUntilHeld();
        loop.Release();
        loop.RequestHold();
        loop.WaitUntilHeld();
        Assert.False(runs.Wait(0));
        loop.ForgetShutdown();
        loop.Release();
        Assert.True(runs.Wait(Soon));
        loop.End();
    }

    [Fact]
    public void AnAcceleratorThatFailsOrThrowsIsReported()
    {
        foreach (Func<FakeProcessor, ProcessorExit> program in new Func<FakeProcessor, ProcessorExit>[]
        {
            _ => new ProcessorExit(ProcessorExitReason.Failed, "out of luck"),
            _ => throw new InvalidOperationException("out of luck"),
        })
        {
            _reported.Reset();
            using FakeProcessor processor = new(1, program);
            ProcessorLoop loop = new(processor, this, "cpu");
            loop.Begin();
            Assert.True(_reported.Wait(Soon));
            Assert.StartsWith("failed 1", _report, StringComparison.Ordinal);
            Assert.Contains("out of luck", _report, StringComparison.Ordinal);
            loop.End();
        }
    }

    void IProcessorWaits.OnWait(int processor) => _waits.Enqueue($"wait {processor}");

    void IProcessorWaits.OnResume(int processor) => _waits.Enqueue($"resume {processor}");

    void IProcessorEvents.ProcessorBegan()
    {
    }

    void IProcessorEvents.ProcessorShutDown(int index) => Report($"shutdown {index}");

    void IProcessorEvents.ProcessorUnsuited(int index, string reason) => Report($"unsuited {index} {reason}");

    void IProcessorEvents.ProcessorFailed(int index, string reason, string? details) => Report($"failed {index} {reason}");

    private void Report(string text)
    {
        _report = text;
        _reported.Set();
    }
}
