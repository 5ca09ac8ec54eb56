namespace Lamina.Interop.Memory;

/// <summary>Advice to the host about pages of this process.</summary>
public static class HostPages
{
    private const int DoNotNeed = 4;
    private const int SeekData = 3;
    private const int SeekHole = 4;

    /// <summary>
    /// Gives the pages of a range of private memory back to the host; they read as zeroes until they are written again. What is not private, or not in whole pages, may stay.
    /// </summary>
    public static void Discard(nint address, nuint length) => _ = NativeMethods.Advise(address, length, DoNotNeed);

    /// <summary>Finds what of a file is not a hole.</summary>
    /// <returns>The first offset from <paramref name="offset"/> on that may have data; -1 if there is none.</returns>
    public static long FindData(Microsoft.Win32.SafeHandles.SafeFileHandle file, long offset) => NativeMethods.Seek((int)file.DangerousGetHandle(), offset, SeekData);

    /// <summary>Finds the end of data in a file.</summary>
    /// <returns>The first offset from <paramref name="offset"/> on that is in a hole, the file's end at the latest; -1 if there is none, because the offset is behind that.</returns>
    public static long FindHole(Microsoft.Win32.SafeHandles.SafeFileHandle file, long offset) => NativeMethods.Seek((int)file.DangerousGetHandle(), offset, SeekHole);
}
