using Lamina.Machine.Processors;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu;

/// <summary>What other threads may do to a processor.</summary>
internal sealed unsafe partial class SoftwareProcessor
{
    private volatile int _startUpVector = -1;
    private volatile bool _standsStill;
    private IProcessorEntry? _entry;
    private int _kicked;
    private int _nonMaskableArrived;

    /// <inheritdoc/>
    public void RequestExit() => Attend(AttentionBits.Exit);

    /// <inheritdoc/>
    public void SignalInterrupt() => Attend(AttentionBits.Interrupt);

    /// <inheritdoc/>
    public void SignalNonMaskable()
    {
        // More than two are one too many.
        if (Volatile.Read(ref _nonMaskableArrived) < 2)
        {
            Interlocked.Increment(ref _nonMaskableArrived);
        }

        Attend(AttentionBits.NonMaskable);
    }

    /// <summary>Forgets NMIs that have arrived and not been looked at.</summary>
    public void ForgetNonMaskable() => Volatile.Write(ref _nonMaskableArrived, 0);

    /// <inheritdoc/>
    public void SignalSystemManagement()
    {
        // The machine has no system-management mode: the message is lost, as on a PC whose SMRAM is closed and empty.
    }

    /// <inheritdoc/>
    public void SignalKick()
    {
        Volatile.Write(ref _kicked, 1);

        // Has a processor that is about to halt look once more.
        Attend(AttentionBits.Interrupt);
    }

    /// <inheritdoc/>
    public void SignalInit() => Attend(AttentionBits.Init);

    /// <inheritdoc/>
    public void SignalStartUp(byte vector)
    {
        _startUpVector = vector;
        Attend(AttentionBits.StartUp);
    }

    /// <inheritdoc/>
    public bool IsUp
    {
        get
        {
            bool ended = Volatile.Read(ref _context->Halted) && !_context->HaltEndsMasked && (_context->SystemFlags & Flags.Interrupt) == 0;
            return !_standsStill && !ended && !WaitsForStartUp;
        }
    }

    /// <inheritdoc/>
    public bool WaitsForStartUp
    {
        get
        {
            // What has come and was not looked at yet counts.
            AttentionBits bits = (AttentionBits)Volatile.Read(ref _context->Attention);
            return (bits & AttentionBits.StartUp) == 0 && ((bits & AttentionBits.Init) != 0 || Volatile.Read(ref _context->WaitingForStartUp));
        }
    }

    /// <summary>Whether it stands still. While it is not run.</summary>
    public bool StandsStill
    {
        get => _standsStill;
        set => _standsStill = value;
    }

    /// <inheritdoc/>
    public void SignalBegin(IProcessorEntry entry)
    {
        Volatile.Write(ref _entry, entry);
        Attend(AttentionBits.StartUp);
    }

    /// <inheritdoc/>
    public void SignalStandStill()
    {
        _standsStill = true;
        Attend(AttentionBits.Halt);
    }

    /// <inheritdoc/>
    public void SignalGoOn() => _standsStill = false;

    /// <summary>Brings the processor to a safe point soon.</summary>
    public void RequestSafePoint() => Attend(AttentionBits.SafePoint);

    private void Attend(AttentionBits bits) => Interlocked.Or(ref _context->Attention, (int)bits);

    private bool Take(AttentionBits bit)
    {
        return (Interlocked.And(ref _context->Attention, ~(int)bit) & (int)bit) != 0;
    }
}
