namespace Lamina.Personalities.VMware.Balloon;

/// <summary>How a balloon's command, or a page of it, went.</summary>
internal enum BalloonStatus : uint
{
    Success = 0,
    InvalidCommand = 1,
    InvalidPage = 2,
    AlreadyLocked = 3,
    NotLocked = 4,
    NotNeeded = 6,
    Reset = 7,
    SuccessWithCapabilities = 0x0300_0000,
}
