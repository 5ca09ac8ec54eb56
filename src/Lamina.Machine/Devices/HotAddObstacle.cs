namespace Lamina.Machine.Devices;

/// <summary>Why a guest does not get memory that it is to have beside that of the start.</summary>
public enum HotAddObstacle : byte
{
    /// <summary>It gets it, or has it, or has no driver that could say.</summary>
    None,

    /// <summary>Its driver has said that it adds no memory.</summary>
    Unsupported,

    /// <summary>It adds memory in pieces, at multiples of their length, and what is left holds none.</summary>
    Alignment,

    /// <summary>It has refused, and is asked again.</summary>
    Refused,

    /// <summary>It has refused so often that it is not asked again until somebody wants it to have more.</summary>
    GivenUp,

    /// <summary>It has said that it can have no more.</summary>
    Limit,
}
