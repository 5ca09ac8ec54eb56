using Lamina.Machine.Processors;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu;

/// <summary>Single steps on behalf of another accelerator.</summary>
internal sealed unsafe partial class SoftwareProcessor
{
    private ProcessorState? _entryState;

    /// <summary>Executes the instruction at RIP, or delivers the exception that it raises.</summary>
    /// <returns><c>false</c> if the processor shut down.</returns>
    public bool ExecuteOne()
    {
        _context->Outcome = HandlerOutcome.Continue;
        return Step(_context);
    }

    /// <summary>Delivers an event before the instruction at RIP.</summary>
    /// <returns><c>false</c> if the processor shut down.</returns>
    public bool DeliverOne(byte vector, EventKind kind, bool hasCode, uint code)
    {
        ProcessorContext* c = _context;
        c->Outcome = HandlerOutcome.Continue;
        if (kind == EventKind.Exception && vector != Fault.DebugVector && c->Protected)
        {
            c->SystemFlags |= Flags.Resume;
        }

        return Events.Deliver(c, vector, kind, hasCode, code);
    }

    /// <summary>Obeys INIT and start-up messages that have arrived.</summary>
    public void TakeResets()
    {
        ProcessorContext* c = _context;
        if (Take(AttentionBits.Init))
        {
            ResetState.Init(c, this);
            _standsStill = false;
        }

        if (!Take(AttentionBits.StartUp))
        {
            return;
        }

        IProcessorEntry? entry = Interlocked.Exchange(ref _entry, null);
        if (c->WaitingForStartUp && entry != null)
        {
            _entryState ??= new ProcessorState();
            StateTransfer.Save(this, _entryState);
            entry.Apply(_entryState);
            StateTransfer.Begin(this, _entryState);
        }
        else if (c->WaitingForStartUp && _startUpVector >= 0)
        {
            ResetState.StartUp(c, (byte)_startUpVector);
        }
    }
}
