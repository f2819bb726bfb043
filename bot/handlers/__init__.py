"""What people do, one router for each kind of it: read the update, ask one room, show the answer."""

from aiogram import Router

from bot.handlers import (
    admin,
    browse,
    download,
    elsewhere,
    errors,
    follow,
    follow_list,
    jobs,
    linked,
    search,
    settings,
    share,
    sources,
    start,
)


def routers() -> list[Router]:
    """New routers, in the order updates are offered to them: commands first, any other text last."""
    found = [
        share.router(),
        settings.router(),
        linked.router(),
        start.router(),
        admin.router(),
        sources.router(),
        jobs.router(),
        download.router(),
        elsewhere.router(),
        follow.router(),
        follow_list.router(),
        browse.router(),
        search.router(),
        errors.router(),
    ]
    for router in found:
        # What is posted in a channel is asked in the channel's name.
        router.channel_post.handlers.extend(router.message.handlers)
    return found
