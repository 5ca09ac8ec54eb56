using System.Runtime.InteropServices;
using Lamina.Interop;
using Lamina.Interop.Files;

namespace Lamina.Storage;

/// <summary>Copies the content of one image into another.</summary>
public static class DiskCopy
{
    private const int Part = 1 << 20;
    private const int Grain = 64 << 10;

    /// <summary>Copies everything but zeroes into an image that is empty and as long.</summary>
    /// <exception cref="StorageException">One of them cannot be read or written.</exception>
    public static void Run(DiskImage source, DiskImage target) => Run(source, target, null);

    /// <summary>Copies everything but zeroes into an image that is empty and as long.</summary>
    /// <param name="source">What is copied.</param>
    /// <param name="target">Where to.</param>
    /// <param name="progress">Told how much is done, from 0 to 1; or null.</param>
    /// <exception cref="StorageException">One of them cannot be read or written.</exception>
    public static void Run(DiskImage source, DiskImage target, Action<double>? progress)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(target);
        byte[] buffer = GC.AllocateArray<byte>(Part, pinned: true);
        nint address = Marshal.UnsafeAddrOfPinnedArrayElement(buffer, 0);
        for (ulong at = 0; at < source.Length;)
        {
            progress?.Invoke((double)at / source.Length);
            Check(source.GetExtent(at, out DiskExtent extent), source.Path, "read");
            ulong length = Math.Min(Math.Max(extent.Length, 512), source.Length - at);
            if (extent.IsZero)
            {
                at += length;
                continue;
            }

            length = Math.Min(length, Part);
            Check(source.Read(at, [new IoVector(address, (nuint)length)]), source.Path, "read");
            for (int done = 0; done < (int)length; done += Grain)
            {
                int part = Math.Min(Grain, (int)length - done);
                if (buffer.AsSpan(done, part).ContainsAnyExcept((byte)0))
                {
                    Check(target.Write(at + (ulong)done, [new IoVector(address + done, (nuint)part)]), target.Path, "written");
                }
            }

            at += length;
        }

        GC.KeepAlive(buffer);
        Check(target.Flush(), target.Path, "written");
    }

    internal static void Check(int error, string path, string what)
    {
        if (error != 0)
        {
            throw new StorageException($"'{path}' cannot be {what}: {new SystemCallException(what, error).Reason}");
        }
    }
}
