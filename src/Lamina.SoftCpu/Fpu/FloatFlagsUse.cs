namespace Lamina.SoftCpu.Fpu;

/// <summary>Floating-point comparisons to RFLAGS.</summary>
internal readonly struct FloatFlagsUse : IStubUse
{
    public static bool Mxcsr => true;

    public static bool FlagsIn => false;

    public static bool FlagsOut => true;

    public static bool Mmx => false;
}
