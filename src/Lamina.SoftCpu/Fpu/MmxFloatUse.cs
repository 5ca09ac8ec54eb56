namespace Lamina.SoftCpu.Fpu;

/// <summary>Conversions between MMX and XMM.</summary>
internal readonly struct MmxFloatUse : IStubUse
{
    public static bool Mxcsr => true;

    public static bool FlagsIn => false;

    public static bool FlagsOut => false;

    public static bool Mmx => true;
}
