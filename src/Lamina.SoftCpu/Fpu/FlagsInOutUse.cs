namespace Lamina.SoftCpu.Fpu;

/// <summary>RFLAGS in and out.</summary>
internal readonly struct FlagsInOutUse : IStubUse
{
    public static bool Mxcsr => false;

    public static bool FlagsIn => true;

    public static bool FlagsOut => true;

    public static bool Mmx => false;
}
