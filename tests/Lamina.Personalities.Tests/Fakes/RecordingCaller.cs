using Lamina.Machine.Personalities;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>A processor that executes a hypercall: its XMM registers, and what the call asks of it.</summary>
internal sealed class RecordingCaller : ICallingProcessor
{
    public List<(ulong Processors, bool WithGlobal, ulong[] Pages)> Drops { get; } = [];

    public byte[] Vectors { get; } = new byte[256];

    public int Waits { get; private set; }

    public void DropTranslations(ulong processors, bool withGlobal, ReadOnlySpan<ulong> pages) => Drops.Add((processors, withGlobal, pages.ToArray()));

    public void ReadVectors(Span<byte> destination) => Vectors.AsSpan(0, destination.Length).CopyTo(destination);

    public void WriteVectors(int offset, ReadOnlySpan<byte> source) => source.CopyTo(Vectors.AsSpan(offset));

    public void GiveWay() => Waits++;
}
