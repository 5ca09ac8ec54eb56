using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_pic_state</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmPicState
{
    /// <summary>Levels of the inputs.</summary>
    public byte Lines;

    /// <summary>IRR.</summary>
    public byte Requests;

    /// <summary>IMR.</summary>
    public byte Mask;

    /// <summary>ISR.</summary>
    public byte InService;

    /// <summary>The input with the highest priority.</summary>
    public byte Highest;

    /// <summary>Vector of input 0.</summary>
    public byte VectorBase;

    /// <summary>Reads give the ISR.</summary>
    public byte ReadInService;

    /// <summary>The next read is a poll.</summary>
    public byte Poll;

    /// <summary>Special mask mode.</summary>
    public byte SpecialMask;

    /// <summary>The next initialization word, less 1.</summary>
    public byte Step;

    /// <summary>Automatic end of interrupt.</summary>
    public byte AutomaticEnd;

    /// <summary>Rotation at that.</summary>
    public byte RotateAtAutomaticEnd;

    /// <summary>Special fully nested mode.</summary>
    public byte SpecialFullyNested;

    /// <summary>ICW4 is to come.</summary>
    public byte ExpectIcw4;

    /// <summary>ELCR.</summary>
    public byte EdgeLevel;

    /// <summary>Bits of it that exist.</summary>
    public byte EdgeLevelMask;
}
