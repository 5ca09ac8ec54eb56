namespace Lamina.Machine.Devices;

/// <summary>How far a guest is that is to have memory beside that of the start.</summary>
/// <param name="Obstacle">Why it does not get it.</param>
/// <param name="IsUnderWay">Whether it was told to add a piece, and has not answered.</param>
/// <param name="PieceLength">Bytes of a piece, a power of two; pieces begin at multiples of it.</param>
/// <param name="Unreachable">Bytes that it cannot get for want of a whole piece.</param>
public readonly record struct HotAddState(HotAddObstacle Obstacle, bool IsUnderWay, ulong PieceLength, ulong Unreachable);
