namespace Lamina.Interop.Memory;

/// <summary>Advice to the host about pages of this process.</summary>
public static class HostPages
{
    private const int DoNotNeed = 4;

    /// <summary>
    /// Gives the pages of a range of private memory back to the host; they read as zeroes until they are written again. What is not private, or not in whole pages, may stay.
    /// </summary>
    public static void Discard(nint address, nuint length) => _ = NativeMethods.Advise(address, length, DoNotNeed);
}
