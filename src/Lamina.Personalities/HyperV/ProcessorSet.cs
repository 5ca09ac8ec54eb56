using System.Buffers.Binary;
using System.Numerics;

namespace Lamina.Personalities.HyperV;

/// <summary>Sets of processors as banks of 64 (Top-Level Functional Specification, section 7.8.7.3), of which there is one here.</summary>
internal static class ProcessorSet
{
    private const ulong Sparse = 0;
    private const ulong All = 1;

    /// <summary>Reads one.</summary>
    /// <param name="format">Its format.</param>
    /// <param name="valid">Which banks are there.</param>
    /// <param name="banks">The banks.</param>
    /// <param name="mask">A bit for each processor below 64.</param>
    /// <returns><c>false</c> if it is none.</returns>
    internal static bool TryRead(ulong format, ulong valid, ReadOnlySpan<byte> banks, out ulong mask)
    {
        mask = ulong.MaxValue;
        if (format == All)
        {
            return true;
        }

        mask = (valid & 1) != 0 && banks.Length >= sizeof(ulong) ? BinaryPrimitives.ReadUInt64LittleEndian(banks) : 0;
        return format == Sparse && BitOperations.PopCount(valid) * sizeof(ulong) == banks.Length;
    }
}
