using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu;

/// <summary>
/// A software processor that does single steps for a processor of another accelerator, on its state and the machine's memory: what that accelerator cannot do itself. It keeps
/// nothing between two calls, and decodes afresh each time, so that nobody need tell it of writes to code. One thread at a time.
/// </summary>
public sealed class InstructionAssist : IDisposable
{
    // No blocks are made here.
    private const int BlockArenaSize = 1 << 20;
    private readonly SoftwarePartition _partition;
    private readonly SoftwareProcessor _processor;

    /// <summary>Makes one for processor <paramref name="index"/> of a machine.</summary>
    /// <param name="settings">The machine.</param>
    /// <param name="index">Which processor.</param>
    /// <param name="controller">Its local APIC.</param>
    /// <param name="caller">Who drops translations for hypercalls: those of this processor are nobody's.</param>
    public InstructionAssist(PartitionSettings settings, int index, ILocalInterruptController? controller, ICallingProcessor? caller = null)
    {
        _partition = new SoftwarePartition(settings, blockArenaSize: BlockArenaSize);
        _processor = (SoftwareProcessor)_partition.CreateProcessor(index);
        _processor.Controller = controller;
        _processor.Dropper = caller;
    }

    /// <summary>Executes the instruction at RIP, or delivers the exception that it raises; <paramref name="state"/> is then the state after it.</summary>
    public AssistOutcome Execute(ProcessorState state)
    {
        if (!_processor.Restore(state))
        {
            return AssistOutcome.Impossible;
        }

        bool running = _processor.ExecuteOne();
        _processor.Save(state);
        return running ? AssistOutcome.Done : AssistOutcome.ShutDown;
    }

    /// <summary>Delivers an external interrupt, as if between two instructions.</summary>
    public AssistOutcome DeliverInterrupt(ProcessorState state, byte vector) => Deliver(state, vector, EventKind.ExternalInterrupt, false, 0);

    /// <summary>Delivers an exception of the instruction at RIP.</summary>
    public AssistOutcome DeliverException(ProcessorState state, byte vector, bool hasCode, uint code) => Deliver(state, vector, EventKind.Exception, hasCode, code);

    /// <summary>INIT, and then a start-up message if <paramref name="startUpVector"/> is not negative.</summary>
    public AssistOutcome Reset(ProcessorState state, bool init, int startUpVector)
    {
        if (!_processor.Restore(state))
        {
            return AssistOutcome.Impossible;
        }

        if (init)
        {
            _processor.SignalInit();
        }

        if (startUpVector >= 0)
        {
            _processor.SignalStartUp((byte)startUpVector);
        }

        _processor.TakeResets();
        _processor.Save(state);
        return AssistOutcome.Done;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _processor.Dispose();
        _partition.Dispose();
    }

    private AssistOutcome Deliver(ProcessorState state, byte vector, EventKind kind, bool hasCode, uint code)
    {
        if (!_processor.Restore(state))
        {
            return AssistOutcome.Impossible;
        }

        bool running = _processor.DeliverOne(vector, kind, hasCode, code);
        _processor.Save(state);
        return running ? AssistOutcome.Done : AssistOutcome.ShutDown;
    }
}
