using System.Diagnostics;
using Lamina.Interop.Threading;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Vmm.Processors;

/// <summary>
/// One virtual processor: its thread, the loop that runs it, and the signals that wake it from HLT. The machine's control thread holds it (to reset, pause or
/// save), lets it go on, and ends it.
/// </summary>
internal sealed class ProcessorLoop : IProcessorSignals
{
    private volatile IVirtualProcessor _processor;
    private readonly IProcessorEvents _events;
    private readonly IProcessorWaits? _waits;
    private readonly WakeEvent _wake = new();
    private readonly object _gate = new();
    private readonly Thread _thread;
    private volatile Command _command = Command.Run;
    private bool _held;
    private bool _stopped;
    private Exception? _exception;

    internal ProcessorLoop(IVirtualProcessor processor, IProcessorEvents events, string threadName, IProcessorWaits? waits = null)
    {
        _waits = waits;
        _processor = processor;
        _events = events;
        _thread = new Thread(Body) { Name = threadName, IsBackground = true };
    }

    private enum Command
    {
        Run,
        Hold,
        End,
    }

    /// <summary>The processor. Its state may be touched only while it is held.</summary>
    internal IVirtualProcessor Processor => _processor;

    /// <summary>When it first went into the guest, by the host's monotonic clock (<see cref="Stopwatch.GetTimestamp"/>); 0 before.</summary>
    internal long FirstEntry { get; private set; }

    /// <summary>The host's number of its thread; 0 before it has begun.</summary>
    internal int ThreadNumber { get; private set; }

    /// <inheritdoc/>
    public void SignalInterrupt()
    {
        _processor.SignalInterrupt();
        _wake.Set();
    }

    /// <inheritdoc/>
    public void SignalNonMaskable()
    {
        _processor.SignalNonMaskable();
        _wake.Set();
    }

    /// <inheritdoc/>
    public void SignalSystemManagement()
    {
        _processor.SignalSystemManagement();
        _wake.Set();
    }

    /// <inheritdoc/>
    public void SignalKick()
    {
        _processor.SignalKick();
        _wake.Set();
    }

    /// <inheritdoc/>
    public void SignalInit()
    {
        _processor.SignalInit();
        _wake.Set();
    }

    /// <inheritdoc/>
    public void SignalStartUp(byte vector)
    {
        _processor.SignalStartUp(vector);
        _wake.Set();
    }

    /// <inheritdoc/>
    public bool IsUp => _processor.IsUp;

    /// <inheritdoc/>
    public bool WaitsForStartUp => _processor.WaitsForStartUp;

    /// <inheritdoc/>
    public void SignalBegin(IProcessorEntry entry)
    {
        _processor.SignalBegin(entry);
        _wake.Set();
    }

    /// <inheritdoc/>
    public void SignalStandStill() => _processor.SignalStandStill();

    /// <inheritdoc/>
    public void SignalGoOn()
    {
        _processor.SignalGoOn();
        _wake.Set();
    }

    /// <summary>Starts the thread.</summary>
    internal void Begin() => _thread.Start();

    /// <summary>Asks the processor to stand still. Any thread; does not wait.</summary>
    internal void RequestHold() => SetCommand(Command.Hold);

    /// <summary>Waits until the processor stands still after <see cref="RequestHold"/>. On the control thread.</summary>
    internal void WaitUntilHeld()
    {
        lock (_gate)
        {
            while (!_held)
            {
                Monitor.Wait(_gate);
            }
        }
    }

    /// <summary>Gives a held processor's state another body. On the control thread.</summary>
    internal void Replace(IVirtualProcessor processor) => _processor = processor;

    /// <summary>Lets a held processor go on. On the control thread.</summary>
    internal void Release() => SetCommand(Command.Run);

    /// <summary>Lets a held processor run again after its shutdown, because it has been reset. On the control thread.</summary>
    internal void ForgetShutdown() => _stopped = false;

    /// <summary>Ends the thread and waits for it. On the control thread.</summary>
    internal void End()
    {
        SetCommand(Command.End);
        if (_thread.IsAlive)
        {
            _thread.Join();
        }
    }

    private void SetCommand(Command command)
    {
        lock (_gate)
        {
            if (_command == Command.End)
            {
                return;
            }

            _command = command;
            Monitor.PulseAll(_gate);
        }

        if (command != Command.Run)
        {
            _processor.RequestExit();
            _wake.Set();
        }
    }

    private void Body()
    {
        ThreadNumber = ThreadSignal.CurrentThread;
        _events.ProcessorBegan();
        bool waits = true;
        while (true)
        {
            // Cleared before the command and the processor look at what was asked for: whatever comes later sets it again.
            _wake.Clear();
            if (_command != Command.Run && !Hold())
            {
                return;
            }

            if (_stopped)
            {
                _wake.Wait();
                continue;
            }

            if (FirstEntry == 0)
            {
                FirstEntry = Stopwatch.GetTimestamp();
            }

            if (waits)
            {
                waits = false;
                _waits?.OnResume(_processor.Index);
            }

            ProcessorExit exit = RunGuarded();
            switch (exit.Reason)
            {
                case ProcessorExitReason.Requested:
                    break;
                case ProcessorExitReason.Halted:
                    waits = true;
                    _waits?.OnWait(_processor.Index);
                    _wake.Wait();
                    break;
                case ProcessorExitReason.Shutdown:
                    _stopped = true;
                    _events.ProcessorShutDown(_processor.Index);
                    break;
                case ProcessorExitReason.Unsuited:
                    _events.ProcessorUnsuited(_processor.Index, exit.Detail ?? "the accelerator does not suit the guest");
                    break;
                default:
                    _stopped = true;
                    _events.ProcessorFailed(_processor.Index, exit.Detail ?? "the accelerator gave no reason", _exception?.ToString());
                    break;
            }
        }
    }

    // An exception here is a mistake of the accelerator or of a device. It ends this machine, not the process.
    private ProcessorExit RunGuarded()
    {
        try
        {
            return _processor.Run();
        }
        catch (Exception e)
        {
            _exception = e;
            return new ProcessorExit(ProcessorExitReason.Failed, $"internal error: {e.GetType().Name}: {e.Message.ReplaceLineEndings(" ")}");
        }
    }

    private bool Hold()
    {
        lock (_gate)
        {
            _held = true;
            Monitor.PulseAll(_gate);
            while (_command == Command.Hold)
            {
                Monitor.Wait(_gate);
            }

            _held = false;
            return _command != Command.End;
        }
    }
}
