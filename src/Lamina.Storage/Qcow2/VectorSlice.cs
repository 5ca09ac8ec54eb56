using System.Runtime.InteropServices;
using Lamina.Interop.Files;

namespace Lamina.Storage.Qcow2;

/// <summary>Parts of a list of buffers.</summary>
internal static class VectorSlice
{
    private static readonly byte[] Zeroes = new byte[64 << 10];

    /// <summary>Takes the bytes from <paramref name="offset"/> on.</summary>
    /// <returns>The number of vectors.</returns>
    public static int Take(ReadOnlySpan<IoVector> vectors, ulong offset, ulong length, Span<IoVector> part)
    {
        int count = 0;
        foreach (IoVector vector in vectors)
        {
            if (length == 0)
            {
                break;
            }

            if (offset >= vector.Length)
            {
                offset -= vector.Length;
                continue;
            }

            ulong take = Math.Min(vector.Length - offset, length);
            part[count++] = new IoVector(vector.Address + (nint)offset, (nuint)take);
            length -= take;
            offset = 0;
        }

        return count;
    }

    /// <summary>Fills the buffers with zeroes.</summary>
    public static void Clear(ReadOnlySpan<IoVector> vectors)
    {
        foreach (IoVector vector in vectors)
        {
            for (nuint done = 0; done < vector.Length;)
            {
                int part = (int)Math.Min(vector.Length - done, (nuint)Zeroes.Length);
                Marshal.Copy(Zeroes, 0, vector.Address + (nint)done, part);
                done += (nuint)part;
            }
        }
    }

    /// <summary>Copies bytes into the buffers.</summary>
    public static void CopyTo(byte[] source, int start, ReadOnlySpan<IoVector> vectors)
    {
        foreach (IoVector vector in vectors)
        {
            Marshal.Copy(source, start, vector.Address, (int)vector.Length);
            start += (int)vector.Length;
        }
    }

    /// <summary>Copies the buffers' bytes.</summary>
    public static void CopyFrom(ReadOnlySpan<IoVector> vectors, byte[] destination, int start)
    {
        foreach (IoVector vector in vectors)
        {
            Marshal.Copy(vector.Address, destination, start, (int)vector.Length);
            start += (int)vector.Length;
        }
    }
}
