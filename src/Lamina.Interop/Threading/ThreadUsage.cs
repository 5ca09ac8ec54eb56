using System.Runtime.InteropServices;

namespace Lamina.Interop.Threading;

/// <summary>What the calling thread has used so far: of <c>struct rusage</c> of 64-bit Linux (getrusage(2)).</summary>
[StructLayout(LayoutKind.Explicit, Size = 144)]
public readonly unsafe struct ThreadUsage
{
    private const int CallingThread = 1;

    [FieldOffset(128)]
    private readonly long _voluntarySwitches;

    /// <summary>Voluntary context switches: how many times it has waited for something. That it had to leave its processor to others does not count.</summary>
    public static long VoluntarySwitches
    {
        get
        {
            // SAFETY: a structure of 144 bytes.
            ThreadUsage usage;
            return NativeMethods.GetUsage(CallingThread, &usage) == 0 ? usage._voluntarySwitches : 0;
        }
    }
}
