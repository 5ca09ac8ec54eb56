using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Tests;

/// <summary>Interrupt lines that remember their level and count rising edges.</summary>
internal sealed class RecordingLines : IInterruptLineSink
{
    private readonly bool[] _levels = new bool[32];
    private readonly int[] _edges = new int[32];

    public bool this[int line] => _levels[line];

    public void SetLine(int line, bool asserted)
    {
        if (asserted && !_levels[line])
        {
            _edges[line]++;
        }

        _levels[line] = asserted;
    }

    public int Edges(int line) => _edges[line];

    public InterruptLine Line(int number) => new(this, number);
}
