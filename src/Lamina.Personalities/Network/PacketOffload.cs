namespace Lamina.Personalities.Network;

/// <summary>Work that a guest has left to its card. Offsets count from the start of the frame.</summary>
/// <param name="ChecksumStart">Where the bytes begin that a TCP or UDP checksum is over; 0 for none.</param>
/// <param name="ChecksumOffset">From there to the checksum, which holds the sum of the pseudo-header.</param>
/// <param name="SegmentSize">Payload of each TCP segment; 0 if the frame is whole.</param>
internal readonly record struct PacketOffload(int ChecksumStart, int ChecksumOffset, int SegmentSize);
