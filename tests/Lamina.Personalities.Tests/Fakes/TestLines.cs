using Lamina.Machine.Interrupts;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>Lines of devices, those of a machine with an I/O APIC of 24 inputs, with what the controllers see of them.</summary>
internal sealed class TestLines : IInterruptDiversion
{
    private readonly IInterruptLineSink?[] _sinks = new IInterruptLineSink?[24];
    private uint _levels;

    public uint Interrupts => 0xff_fffa;

    /// <summary>Levels at the controllers.</summary>
    public uint Seen
    {
        get
        {
            uint seen = _levels;
            for (int i = 0; i < _sinks.Length; i++)
            {
                seen &= _sinks[i] is null ? uint.MaxValue : ~(1u << i);
            }

            return seen;
        }
    }

    public bool Divert(int interrupt, IInterruptLineSink? sink)
    {
        Assert.NotEqual(0u, Interrupts & (1u << interrupt));
        _sinks[interrupt] = sink;
        return (_levels & (1u << interrupt)) != 0;
    }

    /// <summary>A device drives its line.</summary>
    public void Set(int line, bool asserted)
    {
        _levels = asserted ? _levels | (1u << line) : _levels & ~(1u << line);
        _sinks[line]?.SetLine(line, asserted);
    }
}
