namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>Which flags the architecture leaves undefined (Intel SDM volume 1, appendix A).</summary>
internal enum UndefinedFlags
{
    None,
    Logic,
    Shift,
    Rotate,
    DoubleShift,
    Multiply,
    BitTest,
    BitScan,
    DecimalAdjust,
    AsciiAdjust,
    AsciiMultiply,
    All,
}
