namespace Lamina.SoftCpu.Fpu;

/// <summary>MMX.</summary>
internal readonly struct MmxUse : IStubUse
{
    public static bool Mxcsr => false;

    public static bool FlagsIn => false;

    public static bool FlagsOut => false;

    public static bool Mmx => true;
}
