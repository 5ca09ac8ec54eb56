using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Interrupts;

/// <summary>
/// Joins the 8259 pair and the I/O APIC: where every interrupt line of the machine ends. Lines 0 to 15 are the ISA interrupts: each drives the 8259 input of
/// that number and the I/O APIC input of that number, except that line 0 drives input 2 (the MADT says so) and line 2 is the cascade. Lines
/// 16 to 23 are for PCI and drive the I/O APIC only: the guest finds them by _PRT, which offers no 8259 mode. A machine without the 8259 pair has the I/O APIC alone. A hypervisor that the guest sees
/// may take lines instead of the controllers.
/// </summary>
public sealed class InterruptRouter : IInterruptLineSink, IInterruptDiversion
{
    private const int TimerLine = 0;
    private const int TimerPin = 2;
    private const int ClockLine = 8;

    private readonly PicPair? _pic;
    private readonly IoApic _ioApic;
    private readonly LineControllerState _state = new();
    private readonly IInterruptLineSink?[] _diverted = new IInterruptLineSink?[IoApic.PinCount];
    private volatile bool _legacyReplacement;
    private Timers.Pit? _pit;
    private uint _levels;

    /// <summary>Joins them.</summary>
    /// <param name="pic">The 8259 pair; null for a machine that has none.</param>
    /// <param name="ioApic">The I/O APIC.</param>
    public InterruptRouter(PicPair? pic, IoApic ioApic)
    {
        _pic = pic;
        _ioApic = ioApic;
        pic?.Attach(ioApic);
        ioApic.Bus.Attach(this);
    }

    /// <summary>The interval timer goes with the controllers to an accelerator that has them.</summary>
    public void Attach(Timers.Pit pit) => _pit = pit;

    /// <summary>
    /// Whether the HPET has taken lines 0 and 8 from the 8254 and the RTC (IA-PC HPET specification 1.0a, section 2.3.5, LEG_RT_CNF).
    /// </summary>
    internal bool LegacyReplacement
    {
        get => _legacyReplacement;
        set
        {
            _legacyReplacement = value;
            _ioApic.Bus.LineControllers?.SetLegacyReplacement(value);
        }
    }

    /// <inheritdoc/>
    uint IInterruptDiversion.Interrupts => ((1u << IoApic.PinCount) - 1) & ~(1u << TimerLine) & ~(1u << TimerPin);

    // As the controllers see them.
    private uint ControllerLevels
    {
        get
        {
            uint levels = Volatile.Read(ref _levels);
            for (int i = 0; i < _diverted.Length; i++)
            {
                levels &= Volatile.Read(ref _diverted[i]) is null ? uint.MaxValue : ~(1u << i);
            }

            return levels;
        }
    }

    /// <inheritdoc/>
    bool IInterruptDiversion.Divert(int interrupt, IInterruptLineSink? sink)
    {
        bool changes = Interlocked.Exchange(ref _diverted[interrupt], sink) != sink;
        bool asserted = (Volatile.Read(ref _levels) & (1u << interrupt)) != 0;
        if (changes)
        {
            DriveControllers(interrupt, sink is null && asserted);
        }

        return asserted;
    }

    /// <inheritdoc/>
    public void SetLine(int line, bool asserted)
    {
        if (!_legacyReplacement || line is not (TimerLine or ClockLine))
        {
            Drive(line, asserted);
        }
    }

    /// <summary>Gives the controllers' work to an accelerator. While no processor runs.</summary>
    internal void HandOver(IHostedInterrupts hosted)
    {
        _pit?.HandOver(_state);
        _pic?.HandOver(_state);
        _ioApic.HandOver(_state);
        _state.Levels = ControllerLevels;
        _state.LegacyReplacement = _legacyReplacement;
        hosted.LoadLineControllers(_state);
    }

    /// <summary>Takes it back.</summary>
    internal void TakeBack(IHostedInterrupts hosted)
    {
        hosted.SaveLineControllers(_state);
        _ioApic.TakeBack(_state);
        _pic?.TakeBack(_state);
        uint levels = ControllerLevels;
        _ioApic.TakeLevels((levels & ~(1u << TimerPin) & ~1u) | ((levels & 1) << TimerPin));
        _pit?.TakeBack(_state);
    }

    /// <summary>Line 0 or 8 as the HPET drives it.</summary>
    internal void SetReplacedLine(int line, bool asserted) => Drive(line, asserted);

    private void Drive(int line, bool asserted)
    {
        if ((uint)line >= IoApic.PinCount || line == TimerPin)
        {
            return;
        }

        uint bit = 1u << line;
        if (asserted)
        {
            Interlocked.Or(ref _levels, bit);
        }
        else
        {
            Interlocked.And(ref _levels, ~bit);
        }

        if (Volatile.Read(ref _diverted[line]) is { } sink)
        {
            sink.SetLine(line, asserted);
        }
        else
        {
            DriveControllers(line, asserted);
        }
    }

    private void DriveControllers(int line, bool asserted)
    {
        if (_ioApic.Bus.LineControllers is { } hosted)
        {
            hosted.SetLine(line, asserted);
            return;
        }

        if (line < 16)
        {
            _pic?.SetLine(line, asserted);
        }

        _ioApic.SetPin(line == TimerLine ? TimerPin : line, asserted);
    }
}
