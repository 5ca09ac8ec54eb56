namespace Lamina.SoftCpu.Fpu;

/// <summary>Results in RFLAGS.</summary>
internal readonly struct FlagsUse : IStubUse
{
    public static bool Mxcsr => false;

    public static bool FlagsIn => false;

    public static bool FlagsOut => true;

    public static bool Mmx => false;
}
