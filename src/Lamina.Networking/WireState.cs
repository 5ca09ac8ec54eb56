namespace Lamina.Networking;

/// <summary>How receiving went.</summary>
internal enum WireState
{
    /// <summary>All that was there has been handed on.</summary>
    Empty,

    /// <summary>The guest has no room.</summary>
    GuestFull,

    /// <summary>The wire is gone.</summary>
    Lost,
}
