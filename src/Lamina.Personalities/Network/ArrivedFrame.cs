using System.Buffers.Binary;
using Lamina.Machine.Backends;

namespace Lamina.Personalities.Network;

/// <summary>What is known of a frame from the wire, and what its checksum is if the sender has left it out: for front ends that cannot say so, and guests that would believe it.</summary>
/// <param name="IsGood">Its checksum of TCP or UDP is right, or the wire answers for it.</param>
/// <param name="IsTcp">If it is: which.</param>
/// <param name="IsSegmented">It is many segments that were left together.</param>
/// <param name="SegmentSize">If it is: the payload of each.</param>
/// <param name="ChecksumPlace">Where in the frame the checksum is to be written; 0 for nowhere. Of many segments nobody sends it on as it is: there it is not made.</param>
/// <param name="Checksum">That checksum.</param>
internal readonly record struct ArrivedFrame(bool IsGood, bool IsTcp, bool IsSegmented, ushort SegmentSize, int ChecksumPlace, ushort Checksum)
{
    /// <summary>Looks at a frame.</summary>
    /// <param name="header">The wire's header, <see cref="INetworkBackend.HeaderLength"/> bytes or more.</param>
    /// <param name="frame">The frame.</param>
    internal static ArrivedFrame Read(ReadOnlySpan<byte> header, ReadOnlySpan<byte> frame)
    {
        const byte NeedsChecksum = 1;
        const byte IsValid = 2;
        const byte TypeMask = 0x7f;
        bool blank = (header[0] & NeedsChecksum) != 0;
        bool segmented = (header[1] & TypeMask) != 0;
        bool good = TransportChecksum.TryCheck(frame, out int offset, isKnownGood: blank || (header[0] & IsValid) != 0);
        ArrivedFrame result = new(good, good && offset == TcpFrame.ChecksumOffset, segmented, BinaryPrimitives.ReadUInt16LittleEndian(header[4..]), 0, 0);
        int start = BinaryPrimitives.ReadUInt16LittleEndian(header[6..]);
        int place = start + BinaryPrimitives.ReadUInt16LittleEndian(header[8..]);
        if (!blank || segmented || place == 0 || place + sizeof(ushort) > frame.Length)
        {
            return result;
        }

        // The sum of the pseudo-header is in its place.
        ushort sum = (ushort)~InternetChecksum.Fold(InternetChecksum.Add(frame[start..], 0));
        return result with { ChecksumPlace = place, Checksum = sum == 0 ? ushort.MaxValue : sum };
    }
}
