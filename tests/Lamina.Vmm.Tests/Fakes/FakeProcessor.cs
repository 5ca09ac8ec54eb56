using Lamina.Machine.Processors;

namespace Lamina.Vmm.Tests.Fakes;

/// <summary>A processor that runs a C# function instead of guest code.</summary>
internal sealed class FakeProcessor(int index, Func<FakeProcessor, ProcessorExit> program) : IVirtualProcessor
{
    private int _exitRequested;
    private int _interrupts;
    private ProcessorState _state = new();

    public int Index { get; } = index;

    public ulong InstructionsRetired { get; set; }

    public ProcessorCounters Counters => default;

    public ulong Rip => _state.Rip;

    public int Restores { get; private set; }

    public bool IsDisposed { get; private set; }

    public int StartUpVector { get; private set; } = -1;

    public int Interrupts => Volatile.Read(ref _interrupts);

    public bool ExitRequested => Volatile.Read(ref _exitRequested) != 0;

    public ProcessorExit Run()
    {
        if (TakeExitRequest())
        {
            return new ProcessorExit(ProcessorExitReason.Requested);
        }

        InstructionsRetired++;
        return program(this);
    }

    /// <summary>Computes until somebody asks to leave.</summary>
    public ProcessorExit Spin()
    {
        SpinWait wait = default;
        while (!TakeExitRequest())
        {
            wait.SpinOnce();
        }

        return new ProcessorExit(ProcessorExitReason.Requested);
    }

    public void RequestExit() => Volatile.Write(ref _exitRequested, 1);

    public void SignalInterrupt() => Interlocked.Increment(ref _interrupts);

    public void SignalNonMaskable() => SignalInterrupt();

    public void SignalSystemManagement() => SignalInterrupt();

    public void SignalKick() => SignalInterrupt();

    public void SignalInit() => SignalInterrupt();

    public void SignalStartUp(byte vector)
    {
        StartUpVector = vector;
        SignalInterrupt();
    }

    // All but the first wait, however often they begin.
    public bool WaitsForStartUp => Index != 0;

    public bool IsUp => true;

    public void SignalBegin(IProcessorEntry entry)
    {
        entry.Apply(new ProcessorState());
        SignalInterrupt();
    }

    public void SignalStandStill() => SignalInterrupt();

    public void SignalGoOn() => SignalInterrupt();

    public void Save(ProcessorState state)
    {
        state.Rip = _state.Rip;
        state.Rflags = _state.Rflags;
    }

    public bool Restore(ProcessorState state)
    {
        Restores++;
        _state = state;
        return true;
    }

    public void Dispose() => IsDisposed = true;

    private bool TakeExitRequest() => Interlocked.Exchange(ref _exitRequested, 0) != 0;
}
