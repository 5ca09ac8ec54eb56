using Lamina.SoftCpu.Tests.Fpu;

namespace Lamina.Verify;

/// <summary>What an instruction left behind.</summary>
internal struct CaseResult
{
    public const int None = -1;

    public NativeState State;

    public ulong Rip;

    /// <summary>Vector of the exception that it raised, or <see cref="None"/>.</summary>
    public int Vector;

    public uint ErrorCode;

    /// <summary>The address that a page fault names.</summary>
    public ulong Address;
}
